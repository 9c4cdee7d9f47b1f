"""Small generated video files, one feature each, with what is in them by construction."""
