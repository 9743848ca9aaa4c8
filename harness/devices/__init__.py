"""Running targets: emulators, boards and host processes behind one interface (`base.Device`)."""
