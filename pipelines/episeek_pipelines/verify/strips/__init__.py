"""Make the small pictures of strips, which show a few frames of a video to illustrate a finding."""
