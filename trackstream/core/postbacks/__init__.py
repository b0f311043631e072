"""Postbacks: what ad networks are told of conversions, and the rules of telling them.

- `macros`: what an attribution has to say, by name;
- `templates`: URLs and JSON bodies with macros, checked when they are saved, then expanded;
- `destinations`: who is told of which attributions;
- `outcomes`: what an answer means, when to try again, when to give up;
- `breaker`: leaving a destination alone that fails all the time;
- `webhooks`: signatures as in Standard Webhooks;
- `addresses`: where no postback may go;
- `samples`: a made-up attribution to try one with.
"""
