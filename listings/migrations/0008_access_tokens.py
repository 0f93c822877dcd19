"""Tokens are kept as hashes. Those of before go on working: they are hashed, and the plain ones are deleted.

On the way back hashes are no use to an older version: it starts without tokens, and gives out new ones.
"""

import hashlib

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

PLAIN = "authtoken_token"


def hash_plain_tokens(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        if PLAIN not in connection.introspection.table_names(cursor):
            return
        cursor.execute(f"SELECT key, user_id FROM {PLAIN}")
        kept = [
            # Counted as used now, because when it was used nobody wrote down.
            {"digest": hashlib.sha256(key.encode()).hexdigest(), "beginning": key[:8], "user_id": user_id}
            for key, user_id in cursor.fetchall()
        ]
        token = apps.get_model("listings", "AccessToken")
        token.objects.using(connection.alias).bulk_create([token(**row) for row in kept])
        # Those of closed accounts end, or they would open an account that is opened again.
        token.objects.using(connection.alias).filter(user__is_active=False).delete()
        # The table stays: an older version looks for it.
        cursor.execute(f"DELETE FROM {PLAIN}")


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("listings", "0007_request_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccessToken",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                ("beginning", models.CharField(help_text="By which its owner knows it again.", max_length=8)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("used_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="last used")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="access_tokens",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name": "API token"},
        ),
        migrations.RunPython(hash_plain_tokens, migrations.RunPython.noop),
    ]
