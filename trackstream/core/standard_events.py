"""Names of events that need no definition: ours, and those that Segment's spec names.

Source: Segment's Spec: V2 Ecommerce Events, Native Mobile Spec, B2B SaaS Spec.
"""

from __future__ import annotations

__all__ = ["STANDARD_EVENTS"]

_OURS = (
    *("install", "app_open", "deep_link_opened", "session_start", "page_view", "screen_view"),
    *("sign_up", "add_to_cart", "purchase", "refund", "subscribe", "unsubscribe", "logout"),
    *("identify", "alias", "group"),
)
_ECOMMERCE = (
    *("Products Searched", "Product List Viewed", "Product List Filtered"),
    *("Promotion Viewed", "Promotion Clicked"),
    *("Product Clicked", "Product Viewed", "Product Added", "Product Removed", "Cart Viewed"),
    *("Checkout Started", "Checkout Step Viewed", "Checkout Step Completed"),
    *("Payment Info Entered", "Order Completed", "Order Updated", "Order Refunded"),
    *("Order Cancelled", "Coupon Entered", "Coupon Applied", "Coupon Denied", "Coupon Removed"),
    *("Product Added to Wishlist", "Product Removed from Wishlist"),
    *("Wishlist Product Added to Cart", "Product Shared", "Cart Shared", "Product Reviewed"),
)
_MOBILE = (
    *("Application Installed", "Application Opened", "Application Updated"),
    *("Application Backgrounded", "Application Foregrounded", "Application Crashed"),
    *("Application Uninstalled", "Push Notification Received", "Push Notification Tapped"),
    *("Push Notification Bounced", "Install Attributed", "Deep Link Clicked", "Deep Link Opened"),
)
_ACCOUNTS = (
    *("Account Created", "Account Deleted", "Account Added User", "Account Removed User"),
    *("Signed Up", "Signed In", "Signed Out", "Invite Sent", "Trial Started", "Trial Ended"),
)

STANDARD_EVENTS = frozenset({*_OURS, *_ECOMMERCE, *_MOBILE, *_ACCOUNTS})
"""Whatever properties they have, unless an app defines the event itself."""
