"""PayPal and Twilio over real HTTP, small and stateful, with faults on request. Imports nothing else of Tollgate."""
