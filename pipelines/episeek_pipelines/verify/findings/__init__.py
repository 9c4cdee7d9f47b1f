"""Values of a verification: options, checks, findings, figures and coverage."""
