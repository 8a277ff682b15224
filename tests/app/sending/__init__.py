"""Parts of files that the kernel sends, on Samovar's event loop and on the one that all other tests run on."""
