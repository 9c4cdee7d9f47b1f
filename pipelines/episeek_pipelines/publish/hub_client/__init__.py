"""The client of one dataset repository on the Hub; the only folder of the pipelines that imports huggingface_hub."""
