"""The values of a verification: findings, figures, checks and options."""
