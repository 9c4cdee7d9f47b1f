"""Write the section about episeek in a dataset card."""
