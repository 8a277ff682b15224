"""The transport port, over both adapters and both event loops."""
