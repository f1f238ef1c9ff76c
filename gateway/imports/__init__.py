"""Tables of other gateways' keys, row by row, as tokens to be made. Pure: no store, no clock."""
