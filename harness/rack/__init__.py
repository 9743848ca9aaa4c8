"""Boards on a desk or in a rack: who has which, which are out of order, and whether it is the right one."""
