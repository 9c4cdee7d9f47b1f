"""The pack step: join the videos of each camera into a few MP4 files, without encoding anything again."""
