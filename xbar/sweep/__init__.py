"""One design point (`job`), a grid of them (`grid`), and many in a pool of processes (`pool`)."""
