"""What measurements mean over time: kinetics, persistence, recovery, survival."""
