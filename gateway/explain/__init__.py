"""Why a call would be refused: every check of the chain is asked, nothing is taken."""
