"""Our own picture and motion, made from formulas."""
