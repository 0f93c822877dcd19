import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("listings", "0006_picture_names")]

    operations = [
        migrations.CreateModel(
            name="RequestKeyRow",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("content", models.CharField(max_length=64)),
                ("listing_id", models.BigIntegerField()),
                ("created_at", models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
            ],
            options={"verbose_name": "request key", "db_table": "listings_requestkey"},
        ),
    ]
