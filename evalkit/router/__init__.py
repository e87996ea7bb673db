"""What a gateway imports to read the eligibility file; standard library only."""
