"""Everything with a published price and a rate: adders, registers, buses, links."""
