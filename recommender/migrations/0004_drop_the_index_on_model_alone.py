"""The index itself only: to alter the field SQLite would write the table anew, under triggers that name it."""

from django.db import migrations, models

NAME, TABLE = "recommender_embedding_model_id_1219d94c", "recommender_embedding"


class Migration(migrations.Migration):
    dependencies = [("recommender", "0003_first_ranker_and_head")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="embedding",
                    name="model",
                    field=models.ForeignKey(
                        "recommender.embeddingmodel", models.CASCADE, related_name="embeddings", db_index=False
                    ),
                )
            ],
            database_operations=[
                migrations.RunSQL(f"DROP INDEX {NAME}", f'CREATE INDEX {NAME} ON {TABLE} ("model_id")'),
            ],
        )
    ]
