//! Gradient descent on convex problems, against its theorems.
