"""The client of a dataset repository on the Hub. No other folder of the pipelines imports huggingface_hub."""
