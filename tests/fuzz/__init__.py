"""Hostile inputs by the thousand: made from good ones, given to whatever reads them, watched from another process."""
