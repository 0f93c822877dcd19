from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from listings.models import Listing


class IsSellerOrStaff(BasePermission):
    """Anybody who may see a listing reads it; its seller and staff write. Equal to `editable_by`, for one object."""

    message = "Only the seller of this listing and staff may change it."

    def has_object_permission(self, request: Request, view: APIView, obj: Listing) -> bool:
        if request.method in SAFE_METHODS or request.user.is_staff:
            return True
        return obj.seller_id == request.user.pk and obj.status != Listing.Status.REMOVED
