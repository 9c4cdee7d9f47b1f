"""The dataset card: its section about episeek."""
