"""The transport for the Hugging Face Hub."""
