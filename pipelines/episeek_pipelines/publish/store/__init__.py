"""Publish into a store or a directory: send files under staged names, then give them their final names in the switch."""
