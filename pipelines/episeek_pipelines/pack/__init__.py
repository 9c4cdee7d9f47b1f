"""The pack step: the videos of each camera, put together into a few MP4 files without encoding anything."""
