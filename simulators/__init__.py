"""PayPal, Stripe and Twilio over real HTTP, small and stateful, faults on request. Imports nothing
else of Tollgate.
"""
