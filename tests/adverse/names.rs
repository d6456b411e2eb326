//! Looking up names: a resolver that does not answer.
