from django.urls import path
from django.views.decorators.cache import never_cache

from .photos import PhotosView, PhotoView
from .tokens import OneTokenView, TokensView, TokenView
from .views import ListingsView, ListingView

urlpatterns = [
    path("token/", never_cache(TokenView.as_view()), name="api-token"),
    path("tokens/", TokensView.as_view(), name="api-tokens"),
    path("tokens/<int:token_id>/", OneTokenView.as_view(), name="api-one-token"),
    path("listings/", ListingsView.as_view(), name="api-listings"),
    path("listings/<int:listing_id>/", ListingView.as_view(), name="api-listing"),
    path("listings/<int:listing_id>/images/", PhotosView.as_view(), name="api-photos"),
    path("listings/<int:listing_id>/images/<int:image_id>/", PhotoView.as_view(), name="api-photo"),
]
