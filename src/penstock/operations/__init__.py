"""What can be asked of Penstock, over ports: plan, apply, watch, explain, steer."""
