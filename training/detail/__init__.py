"""The weights of the detail from the photos: what to show at each pixel, learned from views whose truth is known."""
