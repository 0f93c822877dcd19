from django.contrib.auth.views import LogoutView
from django.urls import path

from .browse import browse_listings, listing_page
from .manage import edit_listing, my_listings_page, remove_listing, set_listing_status
from .photo_search import photo_search_page
from .photos import add_photos, delete_photo, photo_states
from .sell import submit_sell_form
from .sign_in import SignInView

urlpatterns = [
    path("", browse_listings, name="home"),
    path("listings/<int:listing_id>/", listing_page, name="listing"),
    path("search/photo/", photo_search_page, name="photo-search"),
    path("sign-in/", SignInView.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("sell/", submit_sell_form, name="sell"),
    path("my/", my_listings_page, name="my-listings"),
    path("my/listings/<int:listing_id>/", edit_listing, name="my-listing"),
    path("my/listings/<int:listing_id>/status/", set_listing_status, name="listing-status"),
    path("my/listings/<int:listing_id>/remove/", remove_listing, name="remove-listing"),
    path("my/listings/<int:listing_id>/photos/", add_photos, name="add-photos"),
    path("my/listings/<int:listing_id>/photos.json", photo_states, name="photo-states"),
    path("my/listings/<int:listing_id>/photos/<int:image_id>/delete/", delete_photo, name="delete-photo"),
]
