"""What a portfolio that follows the scores would have earned under the rules of an exchange."""
