"""The dataset card: its front matter and its section about episeek."""
