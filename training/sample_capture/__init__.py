"""The sample capture that the demo uses: a toy locomotive modelled by a script, and Cycles photos of it with poses."""
