import asyncio

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

import schemas
from tests.http.service import NOW_MS, Service
from trackstream import codec
from trackstream.core.records import Rejected

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/schemas/ids/9999", 404, 40403),
        ("/schemas/ids/x", 404, 40403),
        ("/subjects/nope/versions", 404, 40401),
        ("/subjects/nope/versions/1", 404, 40401),
        ("/subjects/trackstream.Event/versions/99", 404, 40402),
        ("/subjects/trackstream.Event/versions/x", 422, 42202),
    ],
)
async def test_errors_are_those_of_a_registry(
    service: Service, path: str, status: int, code: int
) -> None:
    response = await service.client.get(path)
    assert (response.status, response.content_type) == (status, CONTENT_TYPE)
    assert (await response.json(content_type=CONTENT_TYPE))["error_code"] == code


async def test_every_schema_is_there_under_its_id_and_subjects(service: Service) -> None:
    response = await service.client.get("/subjects")
    subjects = await response.json(content_type=CONTENT_TYPE)
    assert "trackstream.events-value" in subjects
    assert "trackstream.raw-value" not in subjects
    for one in schemas.load().schemas:
        assert one.subject in subjects
        found = await service.client.get(f"/subjects/{one.subject}/versions/{one.version}")
        document = await found.json(content_type=CONTENT_TYPE)
        assert (document["id"], document["subject"]) == (one.id, one.subject)
        by_id = await service.client.get(f"/schemas/ids/{one.id}")
        assert (await by_id.json(content_type=CONTENT_TYPE))["schema"] == document["schema"]


async def test_a_standard_deserializer_reads_our_messages(service: Service) -> None:
    record = Rejected(
        rejected_id="r", stage="collector", reasons=["too_deep"], detail="d", payload=b"p",
        received_at_ms=NOW_MS, version="1",
    )  # fmt: skip
    url = str(service.client.make_url("/")).rstrip("/")

    def read() -> tuple[object, list[int], int | None]:
        with SchemaRegistryClient({"url": url}) as client:
            deserializer = AvroDeserializer(client)
            context = SerializationContext("trackstream.rejected", MessageField.VALUE)
            latest = client.get_latest_version("trackstream.rejected-value")
            return (
                deserializer(codec.encode(record), context),
                client.get_versions("trackstream.Rejected"),
                latest.schema_id,
            )

    value, versions, schema_id = await asyncio.to_thread(read)
    assert isinstance(value, dict)
    assert (value["rejected_id"], value["payload"]) == ("r", b"p")
    assert versions == [1]
    assert schema_id == schemas.load().latest("Rejected").id


async def test_a_standard_client_understands_that_a_schema_is_not_there(service: Service) -> None:
    url = str(service.client.make_url("/")).rstrip("/")
    with SchemaRegistryClient({"url": url}) as client, pytest.raises(SchemaRegistryError) as caught:
        await asyncio.to_thread(client.get_schema, 9999)
    assert caught.value.error_code == 40403
