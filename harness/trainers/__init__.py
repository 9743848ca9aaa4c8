"""Trainers that users bring: any folder of C that implements trainer.h."""
