"""Events: what agents tell each other and the world, as CloudEvents 1.0 (https://github.com/cloudevents/spec)."""
