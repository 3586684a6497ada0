"""Map torch networks onto simulated crossbars."""
