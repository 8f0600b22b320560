"""The messages of the contract, in a descriptor pool of their own."""
