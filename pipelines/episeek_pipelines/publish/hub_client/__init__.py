"""The client of one repository on the Hub; the only place that imports huggingface_hub."""
