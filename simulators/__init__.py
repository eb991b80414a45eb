"""PayPal, Stripe and Twilio over real HTTP: small, stateful, with faults on request. Imports
nothing else of Tollgate.
"""
