from django.db import migrations, models


class WidenField(migrations.AlterField):
    """Going back leaves the column as wide: names that fill it would not fit into the narrow one, and an older program
    works with either."""

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        pass


class Migration(migrations.Migration):
    dependencies = [
        ("listings", "0003_words"),
    ]

    operations = [
        WidenField(
            model_name="importedphoto",
            name="external_id",
            field=models.CharField(max_length=255, unique=True),
        ),
    ]
