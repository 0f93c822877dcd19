from django.urls import path

from .views import EmbeddingView, ImageSearchView, SimilarView

urlpatterns = [
    path("listings/<int:listing_id>/similar/", SimilarView.as_view(), name="api-similar"),
    path("search/image/", ImageSearchView.as_view(), name="api-search-image"),
    path("embeddings/", EmbeddingView.as_view(), name="api-embeddings"),
]
