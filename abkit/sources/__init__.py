"""Where samples come from: a file each, behind the protocol of `base`."""
