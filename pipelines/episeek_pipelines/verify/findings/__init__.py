"""The values that the parts of a verification pass to each other: options, checks, findings, figures and coverage."""
