"""What any broker must do for our clients: ours and Apache Kafka run the same tests."""
